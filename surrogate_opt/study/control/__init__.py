"""The study of model-predictive control: data of plants, closed loops with learned dynamics, pictures."""
