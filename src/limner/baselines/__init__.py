"""What a user would try first: classical models behind the same roles, fitted by scikit-learn."""
