//! Captures on the wire and tshark's judgement of them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::namespace::Namespace;
use crate::process::{Process, Signal, output_of};

/// tshark's expert severity "warning"; errors and malformed fields are above it.
const SEVERITY_WARNING: u32 = 0x0060_0000;
/// What tshark says of a UDP checksum that it has verified.
const CHECKSUM_GOOD: &str = "1";

/// A running capture of all IPv6 packets on one interface.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
}

/// A capture that has ended.
#[derive(Debug)]
pub struct Captured {
    file: PathBuf,
}

impl Capture {
    /// Starts capturing. What the server sends by AF_XDP is not to be seen on its own interface,
    /// so `interface` should be the other end of the server's veth.
    ///
    /// # Errors
    /// tcpdump does not start to listen.
    pub fn start(namespace: &Namespace, interface: &str) -> Result<Capture> {
        let what = format!("capture-{interface}");
        let file = namespace
            .dir()
            .join(format!("{}-{interface}.pcap", namespace.role()));
        let mut command = namespace.command("tcpdump");
        command.args([
            "-i",
            interface,
            "-n",
            "-U",
            "--immediate-mode",
            "-Z",
            "root",
            "-w",
        ]);
        command.arg(&file).arg("ip6");
        let mut process = namespace.spawn(command, &what)?;
        process.wait_for_output("listening on", Duration::from_secs(5))?;
        Ok(Capture { process, file })
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// tcpdump had ended before, or does not end.
    pub fn stop(mut self) -> Result<Captured> {
        // The last packets may still be on their way through the packet socket.
        std::thread::sleep(Duration::from_millis(50));
        self.process.signal(Signal::INT)?;
        self.process.wait(Duration::from_secs(5))?;
        Ok(Captured {
            file: self.file.clone(),
        })
    }
}

impl Captured {
    /// Lets tshark judge every DHCPv6 packet from `mac`, the server: no malformed field, nothing
    /// that its dissectors warn of, a correct UDP checksum. Returns how many packets that were.
    ///
    /// # Errors
    /// One packet is not as it should be; the message lists all such packets.
    pub fn judge(&self, mac: &str) -> Result<usize> {
        let mut command = Command::new("tshark");
        command.args([
            "-n",
            "-o",
            "udp.check_checksum:TRUE",
            "-T",
            "fields",
            "-E",
            "separator=|",
        ]);
        command.arg("-r").arg(&self.file);
        command.args(["-Y", &format!("dhcpv6 && eth.src == {mac}")]);
        for field in [
            "frame.number",
            "dhcpv6.msgtype",
            "udp.checksum.status",
            "_ws.malformed",
            "_ws.expert.severity",
            "_ws.expert.message",
        ] {
            command.args(["-e", field]);
        }
        let table = output_of(&mut command)?;
        let faults: Vec<String> = table.lines().filter_map(fault_in).collect();
        if !faults.is_empty() {
            bail!("tshark on {}:\n{}", self.file.display(), faults.join("\n"));
        }
        Ok(table.lines().count())
    }
}

/// What is wrong with one packet, from a line of the fields that [`Captured::judge`] asks for.
fn fault_in(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.splitn(6, '|').collect();
    let &[number, kind, checksum, malformed, severities, message] = fields.as_slice() else {
        return Some(format!("not the line that was asked for: {line}"));
    };
    let severe = severities
        .split(',')
        .filter_map(|severity| severity.parse::<u32>().ok())
        .any(|severity| severity >= SEVERITY_WARNING);
    if checksum != CHECKSUM_GOOD {
        return Some(format!(
            "packet {number} (type {kind}): UDP checksum status {checksum}"
        ));
    }
    (severe || !malformed.is_empty())
        .then(|| format!("packet {number} (type {kind}): {malformed} {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_packet_has_no_fault() {
        assert_eq!(fault_in("3|2|1|||"), None);
        assert_eq!(
            fault_in("3|13,7|1||2097152|chat"),
            None,
            "a remark is no fault"
        );
    }

    #[test]
    fn faults_are_seen() {
        assert!(fault_in("3|2|0|||").unwrap().contains("checksum"));
        assert!(fault_in("3|2|1|Malformed Packet|8388608|DHCPv6").is_some());
        assert!(fault_in("3|2|1||6291456|option too long").is_some());
        assert!(fault_in("tshark: something").is_some());
    }
}
