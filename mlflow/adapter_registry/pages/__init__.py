"""What a person sees in MLflow: a sweep's description (notes), its leaderboard (views), its pictures (plots)."""
