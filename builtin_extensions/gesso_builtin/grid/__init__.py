"""One picture of all the pictures of a job."""
