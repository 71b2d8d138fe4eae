"""What a critic may see of an image when there are few of them."""
