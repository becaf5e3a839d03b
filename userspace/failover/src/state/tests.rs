//! The table of RFC 8156 §8.4 to §8.12 written a second time, as a person reads it, and compared
//! cell by cell with what the rows do.

use super::Next::{Go, Interrupted, Request, Stay};
use super::*;
use ServerState as S;

/// Columns of [`ON_PARTNER`].
const PARTNERS: [(&str, S); 9] = [
    ("NORMAL", S::Normal),
    ("CI", S::CommunicationsInterrupted),
    ("PD", S::PartnerDown),
    ("PC", S::PotentialConflict),
    ("RECOVER", S::Recover),
    ("R-WAIT", S::RecoverWait),
    ("R-DONE", S::RecoverDone),
    ("RI", S::ResolutionInterrupted),
    ("CD", S::ConflictDone),
];

/// With communications OK: me, my role (P, S, both), then what I do for each state of the partner.
/// `-` stay, `?` ask for updates, `CI!` by way of COMMUNICATIONS-INTERRUPTED.
const ON_PARTNER: &str = "
    me        role | NORMAL  CI      PD   PC   RECOVER  R-WAIT  R-DONE  RI   CD
    PD        both | PC      PC      PC   PC   -        -       NORMAL  PC   PC
    RECOVER   both | ?       ?       ?    PC   ?        ?       ?       PC   PC
    R-WAIT    both | -       -       -    -    -        -       -       -    -
    R-DONE    both | NORMAL  -       -    PC   CI       CI      NORMAL  PC   PC
    NORMAL    P    | -       -       CI!  CI!  CI!      CI!     -       CI!  CI!
    NORMAL    S    | -       -       CI!  CI!  CI!      CI!     -       CI!  -
    CI        both | NORMAL  NORMAL  PC   PC   -        -       NORMAL  PC   PC
    PC        P    | ?       ?       ?    ?    ?        ?       ?       ?    ?
    PC        S    | -       -       -    -    -        -       -       -    ?
    RI        both | PC      PC      PC   PC   PC       PC      PC      PC   PC
    CD        both | NORMAL  -       -    -    -        -       -       -    -
    STARTUP   both | -       -       -    -    -        -       -       -    -
";

/// Without a word of the partner: me, communications fail, operator says it is down (`!`: only if
/// the operator insists), the state's timer, UPDDONE of the primary, UPDDONE of the secondary.
const ON_OTHERS: &str = "
    me       | failed  operator  timer   done-P   done-S
    PD       | -       -         -       -        -
    RECOVER  | -       PD!       -       R-WAIT   R-WAIT
    R-WAIT   | -       -         R-DONE  -        -
    R-DONE   | -       PD!       -       -        -
    NORMAL   | CI      PD        -       -        -
    CI       | -       PD        PD      -        -
    PC       | RI      -         -       CD       NORMAL
    RI       | -       PD        -       -        -
    CD       | -       PD        -       -        -
    STARTUP  | -       -         -       -        -
";

/// Who is answered by the primary and the secondary, whether anything new may be leased, and
/// whether MCLT counts.
const OPERATION: &str = "
    me       | primary  secondary  new  mclt
    STARTUP  | nothing  nothing    no   yes
    RECOVER  | nothing  nothing    no   yes
    R-WAIT   | nothing  nothing    no   yes
    R-DONE   | renew    renew      no   yes
    NORMAL   | all      own        yes  yes
    CI       | all      all        yes  yes
    PD       | all      all        yes  no
    PC       | nothing  nothing    no   yes
    RI       | all      all        yes  yes
    CD       | all      all        yes  yes
";

fn state(name: &str) -> S {
    PARTNERS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(S::Startup, |(_, state)| *state)
}

/// What a cell says: `-`, `?`, `CI!`, `PD!` or a state.
fn cell(text: &str) -> Next {
    match text {
        "-" => Stay,
        "?" => Request,
        "CI!" => Interrupted,
        name => Go(state(name)),
    }
}

/// Rows behind the heading: what stands before and behind the bar.
fn rows(table: &str) -> impl Iterator<Item = (Vec<&str>, Vec<&str>)> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.skip(1).map(|line| {
        let (head, cells) = line.split_once('|').unwrap();
        (
            head.split_whitespace().collect(),
            cells.split_whitespace().collect(),
        )
    })
}

fn roles(text: &str) -> &'static [Role] {
    match text {
        "P" => &[Role::Primary],
        "S" => &[Role::Secondary],
        _ => &[Role::Primary, Role::Secondary],
    }
}

#[test]
fn rfc8156_8_every_state_of_the_partner() {
    let mut cells_seen = 0;
    for (head, cells) in rows(ON_PARTNER) {
        assert_eq!(cells.len(), PARTNERS.len());
        for ((name, partner), text) in PARTNERS.iter().zip(cells) {
            for &role in roles(head[1]) {
                let me = state(head[0]);
                let got = next(role, me, Input::Partner(*partner));
                assert_eq!(got, cell(text), "{role:?} in {me}, partner in {name}");
                cells_seen += 1;
            }
        }
    }
    assert_eq!(cells_seen, 2 * S::ALL.len() * PARTNERS.len());
}

#[test]
fn rfc8156_8_4_2_a_partner_in_startup_changes_nothing() {
    for me in S::ALL {
        for role in [Role::Primary, Role::Secondary] {
            assert_eq!(next(role, me, Input::Partner(S::Startup)), Stay);
        }
    }
}

#[test]
fn rfc8156_8_every_other_input() {
    let mut seen = 0;
    for (head, cells) in rows(ON_OTHERS) {
        let me = state(head[0]);
        let [failed, operator, timer, primary, secondary] = cells[..] else {
            panic!("five cells for {me}");
        };
        for (role, done) in [(Role::Primary, primary), (Role::Secondary, secondary)] {
            let does = |input| next(role, me, input);
            assert_eq!(does(Input::CommunicationsFailed), cell(failed), "{me}");
            assert_eq!(does(Input::Timer), cell(timer), "{me}");
            assert_eq!(does(Input::UpdateDone), cell(done), "{me}");
            let insist = operator.strip_suffix('!');
            let obeyed = cell(if insist.is_some() { "-" } else { operator });
            assert_eq!(does(Input::PartnerDown { forced: false }), obeyed, "{me}");
            let forced = cell(insist.unwrap_or(operator));
            assert_eq!(does(Input::PartnerDown { forced: true }), forced, "{me}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * S::ALL.len());
}

#[test]
fn rfc8156_8_the_operation_of_every_state() {
    let answers = |text| match text {
        "all" => Answers::All,
        "own" => Answers::OwnServerIdOnly,
        "renew" => Answers::RenewOnly,
        _ => Answers::Nothing,
    };
    let mut seen = 0;
    for (head, cells) in rows(OPERATION) {
        let me = state(head[0]);
        let row = row(me);
        assert_eq!(row.answers.primary, answers(cells[0]), "{me}");
        assert_eq!(row.answers.secondary, answers(cells[1]), "{me}");
        assert_eq!(row.may_allocate, cells[2] == "yes", "{me}");
        assert_eq!(row.capped, cells[3] == "yes", "{me}");
        seen += 1;
    }
    assert_eq!(seen, S::ALL.len());
}

#[test]
fn whoever_may_allocate_is_answering() {
    for me in S::ALL {
        let row = row(me);
        for role in [Role::Primary, Role::Secondary] {
            let answers = row.answers.of(role);
            let serves = matches!(answers, Answers::All | Answers::OwnServerIdOnly);
            assert_eq!(row.may_allocate, serves, "{me}");
        }
    }
}
