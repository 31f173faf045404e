//! Fins that refuse, fall silent, answer late or send nonsense, played by a plain MQTT client.

use std::time::Duration;

use conche_modules::fins::{Error as FinError, Order};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::{Value, json};

use super::broker::Broker;
use super::{PASSWORD, Served, call_of, failed, input, retried, uncertain};
use crate::running::{soon, until};

/// A client that reads topics and says what it is told to.
struct Client {
    client: AsyncClient,
    link: EventLoop,
}

impl Client {
    /// Reads the control topic and that of the capability `cap`.
    async fn connect(broker: &Broker) -> Self {
        let mut options = MqttOptions::new("plain", "127.0.0.1", broker.port);
        options.set_credentials("conche", PASSWORD);
        let (client, link) = AsyncClient::new(options, 100);
        let mut client = Self { client, link };
        for topic in ["soarca", "cap", "fin"] {
            let asked = client.client.subscribe(topic, QoS::AtLeastOnce);
            asked.await.unwrap();
            client
                .until(|event| matches!(event, Packet::SubAck(_)))
                .await;
        }
        client
    }

    async fn until(&mut self, mut wanted: impl FnMut(&Packet) -> bool) -> Packet {
        soon("the plain client", async {
            loop {
                if let Event::Incoming(packet) = self.link.poll().await.unwrap()
                    && wanted(&packet)
                {
                    return packet;
                }
            }
        })
        .await
    }

    /// The next message of this type on this topic.
    async fn hears(&mut self, topic: &str, kind: &str) -> Value {
        let read = |packet: &Packet| match packet {
            Packet::Publish(publish) if publish.topic == topic => {
                serde_json::from_slice::<Value>(&publish.payload).ok()
            }
            _ => None,
        };
        let wanted = |packet: &Packet| read(packet).is_some_and(|value| value["type"] == kind);
        read(&self.until(wanted).await).unwrap()
    }

    async fn says(&mut self, topic: &str, message: &Value) {
        let bytes = match message {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let sent = self.client.publish(topic, QoS::AtLeastOnce, false, bytes);
        sent.await.unwrap();
        self.until(|packet| matches!(packet, Packet::PubAck(_)))
            .await;
    }

    /// Says that it has the next command.
    async fn takes(&mut self) -> Value {
        let sent = self.hears("cap", "command").await;
        let ack = json!({ "type": "ack", "message_id": sent["message_id"] });
        self.says("cap", &ack).await;
        sent
    }

    async fn registers(&mut self, capability: &str) {
        let message = json!({
            "type": "register", "message_id": "r", "fin_id": "fin", "name": "plain",
            "capabilities": [{ "capability_id": capability }],
        });
        self.says("soarca", &message).await;
        let answer = self.hears("fin", "ack").await;
        assert_eq!(answer["message_id"], "r");
    }
}

async fn start() -> Option<(Broker, Served, Client)> {
    let broker = Broker::start().await?;
    let served = Served::start(broker.folder(), &broker.config("5"));
    let mut client = Client::connect(&broker).await;
    // Until Conche reads the control topic nobody answers.
    soon("Conche to be connected", async {
        let probe = json!({ "type": "unregister", "message_id": "probe", "fin_id": "nobody" });
        loop {
            client.says("soarca", &probe).await;
            let answered = client.hears("soarca", "ack");
            if tokio::time::timeout(Duration::from_millis(100), answered)
                .await
                .is_ok()
            {
                break;
            }
        }
    })
    .await;
    client.registers("cap").await;
    Some((broker, served, client))
}

fn command(seconds: u64) -> conche_modules::Call {
    call_of(&input("soarca", "cap", "do"), seconds)
}

#[tokio::test]
async fn what_is_known_about_a_command_decides_whether_it_may_be_sent_again() {
    let Some((_broker, served, mut fin)) = start().await else {
        return;
    };
    // Not taken for sure.
    let call = command(10);
    let refuses = async {
        let sent = fin.hears("cap", "command").await;
        let nack = json!({ "type": "nack", "message_id": sent["message_id"] });
        fin.says("cap", &nack).await;
    };
    let (result, ()) = tokio::join!(served.carry_out(&call), refuses);
    assert!(retried(result).contains("refuses the command"));

    // No word: after `ack_within` it is no use to wait on, and nobody knows.
    let result = served.carry_out(&command(10)).await;
    assert!(uncertain(result).contains("did not say that it took"));
    fin.hears("cap", "command").await;

    // Taken, and no result within the time.
    let first = command(2);
    let (result, sent) = tokio::join!(served.carry_out(&first), fin.takes());
    assert!(uncertain(result).contains("gave no result in time"));

    // Its result comes late: it is acknowledged, so that it is not sent for ever, and is not
    // taken for that of the next command of the same run and step.
    let mut second = command(10);
    second.run = first.run;
    let late = async {
        let next = fin.takes().await;
        for (message_id, command, value) in [("late", &sent, "old"), ("now", &next, "new")] {
            let result = json!({
                "type": "result", "message_id": message_id,
                "result": { "state": "success", "context": command["command"]["context"],
                            "variables": { "__v__": { "value": value } } },
            });
            fin.says("cap", &result).await;
            while fin.hears("cap", "ack").await["message_id"] != message_id {}
        }
    };
    let (result, ()) = tokio::join!(served.carry_out(&second), late);
    assert_eq!(result.unwrap()["variables"]["__v__"], "new");
    served.stop().await;
}

#[tokio::test]
async fn a_step_without_text_or_too_large_for_the_broker_is_refused_before_it_is_sent() {
    let Some((_broker, served, mut fin)) = start().await else {
        return;
    };
    let mut empty = input("soarca", "cap", "");
    empty["command"] = json!({ "type": "manual", "command_b64": "/w==" });
    let message = failed(served.carry_out(&call_of(&empty, 10)).await);
    assert!(message.contains("has no text"), "{message}");
    let mut large = input("soarca", "cap", "do");
    large["variables"]["__word__"]["value"] = "x".repeat(70_000).into();
    let message = failed(served.carry_out(&call_of(&large, 10)).await);
    assert!(message.contains("packet_bytes"), "{message}");
    // Had one gone out it would have come before this.
    let call = command(5);
    let (_, sent) = tokio::join!(served.carry_out(&call), fin.hears("cap", "command"));
    assert_eq!(sent["command"]["command"], "do");
    served.stop().await;
}

#[tokio::test]
async fn nonsense_is_nacked_and_a_fin_can_leave() {
    let Some((_broker, served, mut fin)) = start().await else {
        return;
    };
    fin.says("soarca", &json!("no json")).await;
    for (message, answered) in [
        (
            json!({ "type": "register", "message_id": "m1", "fin_id": 7 }),
            "m1",
        ),
        (json!({ "type": "dance", "message_id": "m2" }), "m2"),
        (
            json!({ "type": "register", "message_id": "m3", "fin_id": "x",
                    "capabilities": [{ "capability_id": "a/#" }] }),
            "m3",
        ),
    ] {
        fin.says("soarca", &message).await;
        let answer = fin.hears("soarca", "nack").await;
        assert_eq!(answer["message_id"], answered);
    }
    assert_eq!(served.fins.list().len(), 1);
    let leaves = json!({ "type": "unregister", "message_id": "u", "capability_id": null,
                         "fin_id": "fin", "all": false });
    fin.says("soarca", &leaves).await;
    loop {
        if fin.hears("soarca", "ack").await["message_id"] == "u" {
            break;
        }
    }
    assert!(served.fins.list().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_fin_is_told_to_pause_resume_stop_and_say_how_it_is() {
    let Some((_broker, served, mut fin)) = start().await else {
        return;
    };
    for (order, word, answer, expected) in [
        (Order::Pause, "pause", "ack", Ok(())),
        (Order::Resume, "resume", "nack", Err(FinError::Refused)),
        (Order::Stop, "stop", "ack", Ok(())),
        (Order::Progress, "progress", "status", Ok(())),
    ] {
        let obeys = async {
            let told = fin.hears("cap", word).await;
            assert_eq!(told["capability_id"], "cap");
            let said = json!({ "type": answer, "message_id": told["message_id"],
                               "capability_id": "cap", "progress": "working" });
            fin.says("cap", &said).await;
        };
        let (told, ()) = tokio::join!(served.fins.order("cap", order), obeys);
        assert_eq!(told, expected, "{word}");
    }
    let progress = served.fins.list()[0].capabilities[0].progress.clone();
    assert_eq!(progress.as_deref(), Some("working"));
    let unknown = served.fins.order("nobody", Order::Pause).await;
    assert_eq!(unknown, Err(FinError::Unknown));

    // An operator removes it: it is told by capability and by id, and our own words that come
    // back are no request.
    served.fins.remove("fin").await.unwrap();
    let told = fin.hears("soarca", "unregister").await;
    assert_eq!(
        (&told["capability_id"], &told["all"]),
        (&json!("cap"), &json!(false))
    );
    let told = fin.hears("soarca", "unregister").await;
    assert_eq!(told["fin_id"], "fin");
    assert_eq!(served.fins.remove("fin").await, Err(FinError::Unknown));
    fin.registers("cap").await;
    until("the fin to be back", async || served.fins.list().len() == 1).await;
    served.stop().await;
}
