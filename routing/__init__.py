"""Numbers in, decisions out: confidence, rules, lotteries, consensus and agreement, without any IO."""
