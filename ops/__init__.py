"""Files that run the product elsewhere than on one machine, and the checks of them."""
