"""What the manual is made of: pages from the code, and the folder that the site is built from."""
