const ws = new WebSocket('ws://localhost:8080/ws');

ws.onmessage = (event) => {
  const { type, data } = JSON.parse(event.data);
  if (type === 'snapshot') console.log(data.reviews.map((review) => review.reviewId));
};

ws.send(JSON.stringify({ type: 'subscribe', channel: 'restaurant:r1:reviews', snapshot: true }));
