"""PostgreSQL: the embedded one as a process of its own, and the roles for one that runs elsewhere."""
