"""How far two images are from each other: a reconstruction loss, a climbing goal and a score in one."""
