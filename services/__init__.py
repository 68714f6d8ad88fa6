"""HTTP front doors: small apps that serve what the platform made. They import the stages; nothing imports them."""
