"""What must hold whatever happens: the invariants, checked on the live books and servers."""
