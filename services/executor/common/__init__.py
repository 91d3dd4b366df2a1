"""What more than one of the executor's three programs needs: the ports between them, sealed bodies, pictures of people."""
