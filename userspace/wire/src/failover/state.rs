//! STATE (RFC 8156 §6.3).

use crate::code::OptionCode;
use crate::failover::once;
use crate::failover::values::{ServerFlags, ServerState};
use crate::failover::writer::FrameWriter;
use crate::malformed::Malformed;
use crate::option::Options;
use crate::options::scalar::number_32;
use crate::reply::NoRoom;

/// What a server tells of its failover state. `None`: the option is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The state.
    pub server_state: Option<ServerState>,
    /// What the sender knows.
    pub flags: Option<ServerFlags>,
    /// When the state began, absolute.
    pub start_time_of_state: Option<u32>,
    /// When communications were lost, absolute; only in PARTNER-DOWN.
    pub partner_down_time: Option<u32>,
}

impl State {
    pub(super) fn parse(options: Options<'_>) -> Result<Self, Malformed> {
        let mut state = Self::default();
        for option in options {
            let option = option?;
            match option.code {
                OptionCode::F_SERVER_STATE => {
                    once(
                        &mut state.server_state,
                        &option,
                        ServerState::parse(&option)?,
                    )?;
                }
                OptionCode::F_SERVER_FLAGS => {
                    once(&mut state.flags, &option, ServerFlags::parse(&option)?)?;
                }
                OptionCode::F_START_TIME_OF_STATE => {
                    once(&mut state.start_time_of_state, &option, number_32(&option)?)?;
                }
                OptionCode::F_PARTNER_DOWN_TIME => {
                    once(&mut state.partner_down_time, &option, number_32(&option)?)?;
                }
                _ => {}
            }
        }
        Ok(state)
    }

    /// Writes the options.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put(&self, frame: &mut FrameWriter<'_>) -> Result<(), NoRoom> {
        frame.maybe(
            OptionCode::F_SERVER_STATE,
            self.server_state.map(|state| [state as u8]),
        )?;
        frame.maybe(
            OptionCode::F_SERVER_FLAGS,
            self.flags.map(|flags| [flags.0]),
        )?;
        frame.maybe_number(OptionCode::F_START_TIME_OF_STATE, self.start_time_of_state)?;
        frame.maybe_number(OptionCode::F_PARTNER_DOWN_TIME, self.partner_down_time)
    }
}
