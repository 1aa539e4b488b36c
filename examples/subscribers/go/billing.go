// Credits the minutes of attended sessions, each once and in order: billing JOURNAL
// The journal is effect and position in one line, so that a crash leaves both or neither.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const wanted = "care.attendance.session-attended.v1"

type entry struct {
	Stream  string `json:"stream"`
	Number  int64  `json:"number"`
	Minutes *int   `json:"minutes,omitempty"`
}

type billing struct {
	journal *os.File
	last    map[string]int64 // the last number of each stream: source and subject
}

func main() {
	it := open(os.Args[1])
	client, err := kgo.NewClient(options()...)
	must(err)
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	for {
		fetches := client.PollFetches(stop)
		if stop.Err() != nil {
			client.Close()
			return
		}
		fetches.EachError(func(topic string, _ int32, err error) { log.Println(topic, err) })
		fetches.EachRecord(it.take)
		must(it.journal.Sync()) // before the offsets are committed
		if err := client.CommitUncommittedOffsets(stop); err != nil {
			log.Println("not committed; what comes again is known by its number:", err)
		}
	}
}

func open(path string) *billing {
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1] // a line that a crash cut short never happened
	journal, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	must(err)
	must(journal.Truncate(int64(len(whole))))
	_, err = journal.Seek(0, 2)
	must(err)
	it := &billing{journal, map[string]int64{}}
	for _, line := range bytes.Fields(whole) { // a line has no blank
		var one entry
		must(json.Unmarshal(line, &one))
		it.last[one.Stream] = one.Number
	}
	return it
}

func (it *billing) take(record *kgo.Record) {
	headers := map[string]string{}
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	stream := headers["ce_source"] + "|" + headers["ce_subject"]
	number, err := strconv.ParseInt(headers["ce_sequence"], 10, 64)
	must(err)
	before := it.last[stream]
	if number <= before {
		return // it came again
	}
	if number > before+1 {
		log.Printf("gap in %s: %d to %d; tell the operators", stream, before+1, number-1)
	}
	one := entry{Stream: stream, Number: number}
	if headers["ce_type"] == wanted {
		var data struct {
			Minutes    int  `json:"minutes_credited"`
			FamilyOnly bool `json:"family_only"`
		}
		must(json.Unmarshal(record.Value, &data))
		if !data.FamilyOnly { // else the patient was not there
			one.Minutes = &data.Minutes
		}
	}
	line, err := json.Marshal(one) // events of other types are noted too: their numbers count
	must(err)
	_, err = it.journal.Write(append(line, '\n'))
	must(err)
	it.last[stream] = number
}

func options() []kgo.Opt {
	user := os.Getenv("KAFKA_USERNAME")
	group := os.Getenv("KAFKA_GROUP")
	if group == "" {
		group = user
	}
	found := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BOOTSTRAP"), ",")...),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics("care.attendance"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(10 * time.Second),
	}
	if user == "" {
		return found
	}
	authority, err := os.ReadFile(os.Getenv("KAFKA_CA_FILE"))
	must(err)
	password, err := os.ReadFile(os.Getenv("KAFKA_PASSWORD_FILE"))
	must(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	login := scram.Auth{User: user, Pass: strings.TrimSpace(string(password))}
	return append(found, kgo.DialTLSConfig(&tls.Config{RootCAs: trusted}), kgo.SASL(login.AsSha512Mechanism()))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
