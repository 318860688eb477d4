//! Matrix factorisation: Koren, Bell and Volinsky, "Matrix Factorization Techniques for Recommender
//! Systems" (2009), equation 4 without its mean, which the data takes off.

use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

// b batch, k width

/// Users, items and the width of what is known of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactorsConfig {
    /// People, at least 1.
    pub users: usize,
    /// Films, at least 1.
    pub items: usize,
    /// Numbers that describe a person or a film, 1..=1024.
    pub width: usize,
}

impl Default for FactorsConfig {
    /// As many people and films as the data says.
    fn default() -> Self {
        Self {
            users: 1,
            items: 1,
            width: 4,
        }
    }
}

impl FactorsConfig {
    /// For tests.
    pub fn tiny() -> Self {
        Self {
            users: 5,
            items: 7,
            width: 2,
        }
    }

    /// # Errors
    /// A value out of its range, by key.
    pub fn validate(&self) -> Result<(), String> {
        let most = [
            ("users", self.users, 10_000_000),
            ("items", self.items, 10_000_000),
            ("width", self.width, 1024),
        ];
        match most
            .iter()
            .find(|(_, value, most)| !(1..=*most).contains(value))
        {
            None => Ok(()),
            Some((key, value, most)) => Err(format!("{key} = {value}: must be from 1 to {most}")),
        }
    }

    /// A model that knows nothing yet: every answer is close to the mean.
    pub fn init(&self, device: &Device) -> Factors {
        let small = Initializer::Normal {
            mean: 0.0,
            std: 0.1,
        };
        let table = |rows, width, first: &Initializer| {
            let table = EmbeddingConfig::new(rows, width);
            table.with_initializer(first.clone()).init(device)
        };
        Factors {
            users: table(self.users, self.width, &small),
            items: table(self.items, self.width, &small),
            user_bias: table(self.users, 1, &Initializer::Zeros),
            item_bias: table(self.items, 1, &Initializer::Zeros),
        }
    }
}

/// What is known of people and films.
#[derive(Module, Debug)]
pub struct Factors {
    users: Embedding,
    items: Embedding,
    user_bias: Embedding,
    item_bias: Embedding,
}

impl Factors {
    /// `users [b]`, `items [b]` -> `stars [b, 1]` above the mean
    pub fn forward(&self, users: Tensor<1, Int>, items: Tensor<1, Int>) -> Tensor<2> {
        // An embedding takes [b, 1] to [b, 1, k].
        let of = |table: &Embedding, rows: &Tensor<1, Int>| -> Tensor<2> {
            let rows = table.forward(rows.clone().unsqueeze_dim(1));
            rows.squeeze_dim(1)
        };
        let taste = (of(&self.users, &users) * of(&self.items, &items)).sum_dim(1);
        taste + of(&self.user_bias, &users) + of(&self.item_bias, &items)
    }
}
