"""OpenID Connect: asking a provider who somebody is, and believing nothing that is not signed for us."""
