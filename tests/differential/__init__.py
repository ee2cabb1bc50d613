"""The filter language beside the published SDK's, on generated filters and payloads."""
