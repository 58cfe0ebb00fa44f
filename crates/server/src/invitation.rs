//! What a person at the computer needs in order to pair another device.

use crate::qr;

/// The pairing code of the moment. Whoever has it, and reaches the server, can pair a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The code as people read it: `1234 5678`. It pairs one device, within ten minutes.
    pub code: String,
    /// What to open on the device, with the code in it: one for each address of the server.
    pub links: Vec<String>,
}

impl Invitation {
    /// The first link as a QR code, one line of text for two rows of it; light modules are printed, dark ones are spaces.
    pub fn qr_lines(&self) -> Vec<String> {
        self.links.first().and_then(|link| qr::lines(link)).unwrap_or_default()
    }
}
