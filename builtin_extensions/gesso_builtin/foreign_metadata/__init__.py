"""What other programs write into pictures, turned into infotext."""
