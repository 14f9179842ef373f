// Conectar al WebSocket
const ws = new WebSocket('ws://localhost:8080/ws');

// Escuchar mensajes
ws.onmessage = (event) => {
  const data = JSON.parse(event.data);
  console.log('Mensaje recibido:', data);
};

// Enviar mensajes
ws.send(JSON.stringify({
  type: 'subscribe',
  channel: 'restaurant:123:reservations'
}));

// Manejar errores
ws.onerror = (error) => {
  console.error('WebSocket error:', error);
};

// Reconectar al cerrar
ws.onclose = () => {
  console.log('Conexión cerrada, reconectando...');
  setTimeout(() => {
    // Lógica de reconexión
  }, 3000);
};
