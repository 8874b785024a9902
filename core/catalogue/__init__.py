"""Facts about the parts of the product that are known without building them, so that no library has to be loaded."""
