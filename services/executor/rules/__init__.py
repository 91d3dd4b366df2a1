"""What a name, a password, a guess, a login and a target may be: values in, values out."""
