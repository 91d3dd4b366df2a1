"""What policy decides: values in, values out."""
