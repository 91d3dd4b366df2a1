"""What every HTTP listener of ours needs: app, limits, problem answers, health."""
