//! Data-parallel training: every device computes the gradient of a part of each batch, and the
//! first one holds the weights and makes the step.
//!
//! This is what Burn's `MultiDeviceOptim::OptimMainDevice` does, out of the same parts: modules and
//! gradients that move between devices, and a `GradientsAccumulator`. The strategy itself lives in
//! burn-train and is tied to that crate's loop and data loader; it also sums in the order in which
//! its threads finish, and counts a short part as much as a full one. Ours is exactly reproducible
//! and equals one device with the whole batch, so it needs the parts and not the crate.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;

/// The devices that help the first one.
#[derive(Clone, Debug, Default)]
pub struct Helpers {
    /// Devices that take a part of every batch, without autodiff. The same device may stand here
    /// twice, and may be the first one.
    pub devices: Vec<Device>,
    /// A device that weights and gradients pass over on their way between two others; they go
    /// straight if `None`. It joins devices that cannot reach each other.
    pub relay: Option<Device>,
}

impl Helpers {
    /// A copy of the model for each helper, with an autodiff graph of its own.
    ///
    /// A copy has running statistics of its own, too, which are dropped with it: as in PyTorch's
    /// data-parallel training, batch norm sees a part of the batch, and the statistics that are
    /// kept are those of the first device's part.
    pub(crate) fn copies<M: Module>(&self, model: &M) -> Vec<M> {
        if self.devices.is_empty() {
            return Vec::new();
        }
        // `valid` copies running statistics. A clone shares them, and moving it would take them
        // from the model.
        let mut plain = model.valid();
        if let Some(relay) = &self.relay {
            plain = plain.to_device(relay);
        }
        let devices = self.devices.iter();
        devices
            .map(|device| plain.valid().to_device(device).train())
            .collect()
    }

    /// A helper's gradients, brought to the first device.
    pub(crate) fn bring<M: Module>(
        &self,
        gradients: GradientsParams,
        model: &M,
        first: &Device,
    ) -> GradientsParams {
        let gradients = match &self.relay {
            Some(relay) => gradients.to_device(relay, model),
            None => gradients,
        };
        gradients.to_device(first, model)
    }
}
