// Alerts in Go: go run .
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// schema fetches the schema that a message was written with; the id stands in its first five bytes.
func schema(registry string, id uint32) (avro.Schema, error) {
	answer, err := http.Get(fmt.Sprintf("%s/schemas/ids/%d", registry, id))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var body struct {
		Schema string `json:"schema"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return nil, err
	}
	return avro.Parse(body.Schema)
}

func main() {
	registry := setting("SCHEMA_REGISTRY_URL", "http://127.0.0.1:18081")
	client, err := kgo.NewClient(
		kgo.SeedBrokers(setting("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:19092")),
		kgo.ConsumerGroup(setting("GROUP", "my-go-alerts")),
		kgo.ConsumeTopics("alerts"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DisableAutoCommit(),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	known := map[uint32]avro.Schema{}
	for {
		fetched := client.PollFetches(context.Background())
		for _, problem := range fetched.Errors() {
			log.Fatal(problem.Err)
		}
		fetched.EachRecord(func(record *kgo.Record) {
			id := binary.BigEndian.Uint32(record.Value[1:5])
			if known[id] == nil {
				if known[id], err = schema(registry, id); err != nil {
					log.Fatal(err)
				}
			}
			var alert map[string]any
			if err := avro.Unmarshal(known[id], record.Value[5:], &alert); err != nil {
				log.Fatal(err)
			}
			fmt.Println(alert["event_id"], alert["state"], alert["market_id"], alert["title"])
		})
		// After the work: an alert may come twice, and is never missed.
		if err := client.CommitUncommittedOffsets(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}
