"""From texts and votes to trained weights: encoding, the network, objectives, the loop, checkpoints."""
