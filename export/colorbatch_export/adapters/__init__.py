"""From a published network of others to a model that fulfils colorbatch's contract: a graph around their graph."""
