// The client code of ws-chat-protocol.md, unchanged but for the URL and where it logs; and what the other two documents
// of plain WebSockets send. `node websocket_seeds.js <program> <json>` runs one of the programs below as the user whom
// the JSON describes; what it shows on its page, it prints as JSON lines. Commands on standard input are what its user
// does: [method, ...arguments].
"use strict";

const { createInterface } = require("node:readline");

global.WebSocket = require("ws"); // browsers have it

const show = (what, value) => process.stdout.write(JSON.stringify({ what, value }) + "\n");
const options = JSON.parse(process.argv[3]);
const { url, token } = options;

// "Client JavaScript/React".
class WebSocketClient {
    constructor(token) {
        this.token = token;
        this.ws = null;
        this.reconnectAttempts = 0;
        this.maxReconnectAttempts = 5;
        this.reconnectDelay = 1000;
        this.messageHandlers = new Map();
    }

    connect() {
        this.ws = new WebSocket(`${url}/ws/chat?token=${this.token}`);
        
        this.ws.onopen = () => {
            console.error('WebSocket connecté');
            this.reconnectAttempts = 0;
        };

        this.ws.onmessage = (event) => {
            const message = JSON.parse(event.data);
            this.handleMessage(message);
        };

        this.ws.onclose = (event) => {
            console.error('WebSocket fermé:', event.code, event.reason);
            this.handleReconnect();
        };

        this.ws.onerror = (error) => {
            console.error('Erreur WebSocket:', error);
        };
    }

    handleMessage(message) {
        const handler = this.messageHandlers.get(message.type);
        if (handler) {
            handler(message.data);
        }
    }

    onMessage(type, handler) {
        this.messageHandlers.set(type, handler);
    }

    send(type, data) {
        if (this.ws && this.ws.readyState === WebSocket.OPEN) {
            const message = {
                type,
                data,
                timestamp: new Date().toISOString()
            };
            this.ws.send(JSON.stringify(message));
        }
    }

    joinRoom(room) {
        this.send('join_room', { room });
    }

    sendRoomMessage(room, content) {
        this.send('room_message', {
            room,
            content,
            message_type: 'text'
        });
    }

    sendDirectMessage(toUserId, content) {
        this.send('direct_message', {
            to_user_id: toUserId,
            content,
            message_type: 'text'
        });
    }

    getRoomHistory(room, limit = 50, offset = 0) {
        this.send('room_history', { room, limit, offset });
    }

    handleReconnect() {
        if (this.reconnectAttempts < this.maxReconnectAttempts) {
            this.reconnectAttempts++;
            setTimeout(() => {
                console.error(`Tentative de reconnexion ${this.reconnectAttempts}`);
                this.connect();
            }, this.reconnectDelay * this.reconnectAttempts);
        }
    }

    disconnect() {
        if (this.ws) {
            this.ws.close();
        }
    }
}

// "Hook React pour WebSocket", on the little of React that it needs: what a component would render is shown.
const hooks = [];
let position = 0;

function hook(make) {
  const here = position++;
  if (!(here in hooks)) hooks[here] = make(here);
  return hooks[here];
}

const useRef = (current) => hook(() => ({ current }));
const useState = (initial) => {
  const state = hook(() => ({ value: initial, set: null }));
  state.set ??= (update) => {
    state.value = typeof update === "function" ? update(state.value) : update;
    queueMicrotask(render);
  };
  return [state.value, state.set];
};
const useEffect = (effect, dependencies) => {
  const state = hook(() => ({ dependencies: null, cleanUp: null }));
  if (state.dependencies?.every((each, index) => each === dependencies[index])) return;
  state.dependencies = dependencies;
  queueMicrotask(() => {
    state.cleanUp?.();
    state.cleanUp = effect() ?? null;
  });
};

const useWebSocket = (token) => {
    const [connected, setConnected] = useState(false);
    const [messages, setMessages] = useState([]);
    const ws = useRef(null);

    useEffect(() => {
        if (!token) return;

        const client = new WebSocketClient(token);
        ws.current = client;

        // Gestionnaires de messages
        client.onMessage('room_message', (data) => {
            setMessages(prev => [...prev, data]);
        });

        client.onMessage('direct_message', (data) => {
            setMessages(prev => [...prev, data]);
        });

        client.onMessage('message_history', (data) => {
            setMessages(prev => [...data.messages, ...prev]);
        });

        client.connect();

        return () => {
            client.disconnect();
        };
    }, [token]);

    const sendMessage = (room, content) => {
        if (ws.current) {
            ws.current.sendRoomMessage(room, content);
        }
    };

    const joinRoom = (room) => {
        if (ws.current) {
            ws.current.joinRoom(room);
        }
    };

    return {
        connected,
        messages,
        sendMessage,
        joinRoom,
        client: ws.current
    };
};

let rendered = null;

function render() {
  position = 0;
  rendered = useWebSocket(token);
  show("messages", rendered.messages);
}

const programs = {
  hook() {
    render();
    return {
      joinRoom: (room) => rendered.joinRoom(room),
      sendMessage: (room, content) => rendered.sendMessage(room, content),
      history: (room) => { render(); rendered.client.getRoomHistory(room); },
      unmount: () => hooks.forEach((each) => each.cleanUp?.()),
    };
  },
  class() {
    const client = new WebSocketClient(token);
    for (const type of options.types) client.onMessage(type, (data) => show(type, data));
    client.connect();
    const opened = client.ws.onopen;
    client.ws.onopen = () => { opened(); show("connected", true); };
    return client;
  },
  // "Headers d'Authentification (Alternative)", and "Compression".
  headers() {
    const ws = new WebSocket(`${url}/ws/chat`, [], {
        headers: {
            'Authorization': `Bearer ${token}`
        }
    });
    return plain(ws);
  },
  compressed() {
    const ws = new WebSocket(`${url}/ws/chat?token=${token}`, ['permessage-deflate']);
    return plain(ws);
  },
  // unified-envelope.md and rooms-protocol.md say what is sent, as it stands there.
  socket: () => plain(new WebSocket(`${url}${options.path}?token=${token}`)),
};

function plain(ws) {
  ws.onopen = () => show("connected", ws.protocol);
  ws.onmessage = (event) => show("frame", JSON.parse(event.data));
  ws.onclose = (event) => show("closed", event.code);
  return { send: (frame) => ws.send(JSON.stringify(frame)) };
}

const actions = programs[process.argv[2]]();
const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const [name, ...args] = JSON.parse(line);
  actions[name](...args);
});
lines.on("close", () => process.exit(0));
