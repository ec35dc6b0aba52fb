"""What proxies fetch from the portal: secrets over Envoy's REST xDS, and what each of them runs (DESIGN section 15)."""
