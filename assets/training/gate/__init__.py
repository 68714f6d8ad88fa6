"""Whether a challenger may replace the champion: criteria, paired comparison, behavioural tests, the smoke request."""
