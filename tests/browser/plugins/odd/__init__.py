"""A plugin of the browser tests: a tab that cannot be built, one that can, a sampler that crashes, one that is slow."""
