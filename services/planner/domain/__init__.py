"""What planner decides: values in, values out."""
