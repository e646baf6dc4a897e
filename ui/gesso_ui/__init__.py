"""The Gradio page: asks the plugins for tabs and panels, sorts them and builds them."""
