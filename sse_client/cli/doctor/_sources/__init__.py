"""Where an exchange comes from: one real request (`observe`), or a file (`recording`)."""
