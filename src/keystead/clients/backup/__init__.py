"""The backup client: encrypts here what a vault keeps elsewhere."""
