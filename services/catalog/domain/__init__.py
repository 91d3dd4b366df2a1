"""What catalog decides: values in, values out."""
