"""The tab that tells how a picture was made."""
