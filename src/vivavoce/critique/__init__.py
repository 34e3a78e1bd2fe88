"""Models that find flaws, people who find more of them with help, and a measure of what models know but do not say."""
