"""How a layer holds and multiplies its weights: the interface quantised weights implement."""
