//! Distillation: train small models from nothing, and the demo of the whole chain.
