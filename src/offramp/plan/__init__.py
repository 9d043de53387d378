"""What a plan costs and which to choose: pure functions of predictions, profiles and a link. Runs nothing."""
