"""Agreement, cost and throughput, kept in the transaction of the annotation."""
