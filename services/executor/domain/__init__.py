"""What executor decides: values in, values out."""
