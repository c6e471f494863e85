"""Files like those a product exports, written from one made shop, and what a right reader knows from them."""
