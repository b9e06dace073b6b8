"""What happens to files when a save of `unroll` goes wrong. Started by scripts/check/crash-test."""
