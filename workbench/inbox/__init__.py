"""What Label Studio servers tell us unasked: kept before it is answered, believed only after reading."""
